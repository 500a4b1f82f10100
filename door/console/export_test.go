package console

// ResourcePath is resourcePath, for the tests outside.
var ResourcePath = resourcePath

// Korean is what the pages say in Korean, by their English.
func Korean() map[string]string { return words()["ko"] }
