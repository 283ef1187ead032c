"""Raw smear images in, a curated corpus out. Never imports torch."""
