package toml

// Value is a value of a document: a table, a list, or a text, number, boolean or time.
type Value struct {
	Line int    // where it stands, from 1: the line of its name, or of its header
	Text string // of a text what it says, of numbers, booleans and times how they are written

	list   []*Value
	table  map[string]*Value
	order  []string // of table
	scalar any      // of what is no text, list or table

	quoted bool
	tables bool // a list made of headers [[…]]
	inline bool // complete: nothing is added later
	dotted bool // made by a dotted name
	closed bool // it has a header of its own
}

func newTable(line int) *Value { return &Value{Line: line, table: map[string]*Value{}} }

func (v *Value) set(name string, to *Value) {
	v.table[name] = to
	v.order = append(v.order, name)
}

// At is the value that names lead to, or nil; so is that of nil.
func (v *Value) At(names ...string) *Value {
	for _, name := range names {
		if v == nil {
			return nil
		}
		v = v.table[name]
	}
	return v
}

// String is the Text that names lead to, or "".
func (v *Value) String(names ...string) string {
	if at := v.At(names...); at != nil {
		return at.Text
	}
	return ""
}

// Items are the values of the list that names lead to.
func (v *Value) Items(names ...string) []*Value {
	if at := v.At(names...); at != nil {
		return at.list
	}
	return nil
}

// Keys are the names in the table that names lead to, in their order.
func (v *Value) Keys(names ...string) []string {
	if at := v.At(names...); at != nil {
		return at.order
	}
	return nil
}

// IsTable tells whether it has names.
func (v *Value) IsTable() bool { return v != nil && v.table != nil }

// plain is the value without its lines, as Table has it.
func (v *Value) plain() any {
	switch {
	case v.table != nil:
		t := Table{}
		for name, member := range v.table {
			t[name] = member.plain()
		}
		return t
	case v.list != nil:
		all := make([]any, len(v.list))
		for i, item := range v.list {
			all[i] = item.plain()
		}
		return all
	case v.quoted:
		return v.Text
	}
	return v.scalar
}
