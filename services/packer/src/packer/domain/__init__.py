"""What the packer decides by itself: which files go where, what a member is called, and every byte of a ZIP."""
