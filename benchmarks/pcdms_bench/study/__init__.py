"""The user study: pictures of finished runs, asked about on a small local web page."""
