"""The packer's ports, on AWS."""
