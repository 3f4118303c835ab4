"""Re-identification: does a network that learns from generated pictures find people better?"""
