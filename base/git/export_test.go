package git

// Starve gives git so many KB of memory to answer questions with.
func (r *Repo) Starve(kb int) { r.memory = kb }

// FreshenIndex is freshen.
var FreshenIndex = freshen
