"""Vault: verified copies of any store's tables, and the way back."""

from framework.vault.vault import Vault

__all__ = ["Vault"]
