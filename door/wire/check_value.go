package wire

import "bytes"

// CheckValue holds one value against a shape of the model, as an input is held
// against its own: for what an operation takes unlooked at (see Loose) and for
// what is stored from elsewhere. problems are the constraints that it breaks;
// err is a value of another type than the shape has.
func (m *Model) CheckValue(shape string, value []byte) (problems []string, err error) {
	w := walk{model: m, limits: Limits{}.orDefaults()}
	if d := deepest(bytes.TrimSpace(value)); d > w.limits.Depth {
		return nil, &badShape{"", "fewer levels of nesting"}
	}
	_, err = w.do(shape, value)
	return w.problems, err
}
