"""Rows into a table of a database: what database_writer does once its parameters are checked."""
