"""What is seen of a study on its cluster: its objects as we read them, and what pods say."""
