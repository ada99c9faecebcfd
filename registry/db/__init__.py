"""The database: typed tables, one engine, transactions that retry."""
