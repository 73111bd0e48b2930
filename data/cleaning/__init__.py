"""Raw conversations to clean ones: ordered named rules, and the audit of every row."""
