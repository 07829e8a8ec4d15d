"""Preparing data for a model: ingestion, validation, compatibility, preprocessing, features, quality."""
