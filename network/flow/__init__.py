"""Optical flow and what is made of it: warping, flow networks, video prediction. No part of --arch."""
