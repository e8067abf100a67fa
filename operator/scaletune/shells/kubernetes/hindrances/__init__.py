"""What stands in the way of trials that have not started or have failed, in words. Mostly pure."""
