"""The API server: requests, mirrors of its objects, and one task for each study that changes."""
