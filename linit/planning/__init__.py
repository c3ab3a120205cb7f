"""What would happen, before anybody does it? Plans of boots, impacts of stops and drawings of graphs, all from the
definitions on disk and the real engine in virtual time. PID 1 never loads this package."""
