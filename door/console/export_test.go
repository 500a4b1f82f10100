package console

// ResourcePath is resourcePath, for the tests outside.
var ResourcePath = resourcePath
