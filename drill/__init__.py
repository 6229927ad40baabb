"""The fault drill: real servers, a real HTTPS issuer, load, rotations, outages and a fork storm, and who kept what."""
