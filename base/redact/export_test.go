package redact

// Only is a set of values in no other form than their own.
func Only(values ...string) *Set {
	var patterns [][]byte
	for _, v := range Unbroken(values...) {
		patterns = append(patterns, []byte(v))
	}
	if patterns == nil {
		return nil
	}
	return &Set{newAutomaton(patterns)}
}

// Unbroken are the values that are long enough, without line breaks.
func Unbroken(values ...string) (all []string) {
	for _, v := range values {
		if v = unbroken(v); len(v) >= Shortest {
			all = append(all, v)
		}
	}
	return all
}
