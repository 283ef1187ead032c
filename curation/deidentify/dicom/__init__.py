"""DICOM: frames as pixels, headers as fields, and files cleaned after PS3.15 annex E.

stream      bytes that end, and a reader that gives up
read        a file up to its pixel data
elements    the elements of a data set, one by one, whatever is wrong with them
layout      how the pixels of a frame are stored
fragments   where the frames of a file lie
codestream  what a compressed frame says of itself
decode      the stored values of a frame
colour      from stored values to sRGB
frames      the frames of a file, as they are shown
header      what a file says of itself, without its pixels
tables      PS3.15 and the list of what is kept
codes       the codes that are known
values      one element's value as it may be released
clean       a data set without identity
identifiers what a data set says that must not be published
new_pixels  the pixel data of a cleaned file
files       a folder of files, cleaned
"""
