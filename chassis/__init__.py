"""The microservice chassis: what every deployable needs and none owns.

One noun per module. A module is admitted when at least two deployables use it, and it knows no
business word. It imports the published language (`contracts`) and nothing else of ours.
"""
