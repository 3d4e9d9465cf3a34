"""What listeners did with what they were shown: kept for learning, erased when they say so."""
