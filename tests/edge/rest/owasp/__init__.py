"""With this file the folder is a package to pytest, so what is made once for it ends behind its last test."""
