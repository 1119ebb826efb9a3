"""From trigger specs to readings: authentication, shared polling, push."""
