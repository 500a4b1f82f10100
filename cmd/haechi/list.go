package main

// verbs are what haechi does, in the order in which a newcomer meets them.
func verbs() []verb {
	return []verb{
		serveVerb(),
		helpVerb(), completionVerb(), versionVerb(),
	}
}
