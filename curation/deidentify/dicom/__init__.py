"""DICOM: frames as pixels, headers as fields, and files cleaned after PS3.15 annex E.

stream        bytes that end, and a reader that gives up
read          a file up to its pixel data
elements      the elements of a data set, one by one, whatever is wrong with them
image_kind    labels, overviews and what is no picture
layout        how the pixels of a frame are stored
fragments     where the frames of a file lie
codestream    what a compressed frame says of itself
decode        the stored values of a frame
colour        from stored values to sRGB
frames        the frames of a file, as they are shown
header        what a file says of itself, without its pixels
tables        PS3.15 and the list of what is kept (kept.yaml)
codes         the codes that are known
check_digits  or that look right
values        one element's value as it may be released
options       which options of PS3.15 apply
clean         a data set without identity
statement     what a cleaned file says of its cleaning
identifiers   what a data set says that must not be published
new_pixels    the pixel data of a cleaned file
srgb          its colour profile
files         a folder of files, cleaned
"""
