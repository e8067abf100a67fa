"""The hands: where a plan meets the world. No shell decides anything, and none knows another."""
