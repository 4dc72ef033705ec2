"""The world in a browser, and in pictures: what plays it, the server, the client (``static``) and the renderer."""
