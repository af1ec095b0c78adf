"""Small trees that break no rule; examples of rules are edits of them."""
