"""Photographs and masks at addresses, such as s3://bucket/folder: listed as a stream, fetched and put one by one."""
