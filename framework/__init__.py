"""Millpond: scrape, calculate, store; replay what ran; trust what you kept."""
