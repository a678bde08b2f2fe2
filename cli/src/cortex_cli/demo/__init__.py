"""The demonstration: the hub's whole journey against the running hub, each step checked as it is shown.

`journey` has the steps, `gateway` speaks to the hub, `notifications` listens, `png` makes and reads pictures, `report`
says what happens. Refuses to know the services: it sees what any client sees.
"""
