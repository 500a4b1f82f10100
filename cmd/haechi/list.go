package main

// verbs are what haechi does, in the order in which a newcomer meets them.
func verbs() []verb {
	return []verb{
		demoVerb(), serveVerb(), scanVerb(), hookVerb(), sbomVerb(), detectVerb(), importVerb(), dbVerb(),
		findingsVerb(), secretsVerb(), runVerb(), runnerVerb(), repoVerb(), forgeVerb(), eventsVerb(), rulesVerb(), guardVerb(), iamVerb(), configVerb(),
		backupVerb(), restoreVerb(), accessVerb(), auditVerb(),
		helpVerb(), completionVerb(), versionVerb(),
	}
}
