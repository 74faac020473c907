"""What runs in the child process, on tf_keras: never imported elsewhere."""
