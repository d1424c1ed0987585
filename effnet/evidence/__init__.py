"""What the kit finds for each published claim; `effnet.claims` puts it all together."""
