"""``decide()`` over thousands of policies at once; a test holds it equal to the real one."""
