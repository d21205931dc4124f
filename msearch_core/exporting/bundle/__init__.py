"""What is copied into every exported bundle as it is; it must not import anything of this package."""
