package s3

// Answered are the operations that are answered.
func Answered() (names []string) {
	for _, o := range operations() {
		names = append(names, o.name)
	}
	return names
}

// ReadXML reads a text as every document there is.
func ReadXML(text []byte) {
	for _, into := range []any{&deleteBody{}, &completeBody{}} {
		_ = readXML(text, into)
	}
}
