"""Mods: reusable parts with metadata, typed parameters and one kind of answer."""
