package guard

import (
	"slices"

	"github.com/haechi-dev/haechi/word/diag"
)

// The tree of a rule file. Conjunctions are lines that must all hold; each is a
// list of alternatives of which one must (conjunctive normal form).

// rule is a named rule; one with parameters is only evaluated where it is called.
type rule struct {
	name       string
	place      diag.Place
	parameters []string
	when       [][]clause
	block      block
}

// block is what stands between braces: its own variables, and clauses.
type block struct {
	lets    []let
	clauses [][]clause
}

// let binds a name to an operand, which is evaluated when it is first used.
type let struct {
	name     string
	value    operand
	captures []string // names that the operand's query binds on its way
}

// operand is a literal, a query or a function's result; one of the three is set.
type operand struct {
	literal *Value
	query   *query
	call    *call
}

// call is a function, or a parameterised rule, with what it is given.
type call struct {
	name  string
	place diag.Place
	args  []operand
}

// query selects values: Resources.*[ Type == 'X' ].Properties.
type query struct {
	some     bool // one value that holds is enough
	parts    []part
	text     string // as written, for people
	place    diag.Place
	captures []string
}

type step uint8

const (
	stepKey         step = iota // .name
	stepVariable                // %name: at the head the values of a variable, later their texts as keys
	stepThis                    // this
	stepIndex                   // [0]
	stepAllIndices              // [*]
	stepAllValues               // .*
	stepFilter                  // [ clauses ]
	stepKeyFilter               // [ keys == /x/ ]
	stepVariableKey             // %name[0] after the head: only that one of its values
)

// part is one step of a query.
type part struct {
	step    step
	name    string   // of a key or variable
	other   []string // spellings of a key that stand in for it: bucketName for BucketName
	index   int64
	capture string // the variable that gets each key, or ""
	filter  [][]clause
	want    *typeSet // the filter lets these types through at most; nil if it does not say
	op      operator
	with    operand
}

// typeSet are types of resources, sorted.
type typeSet struct {
	names []string
	key   string // all of them
}

func (t *typeSet) has(name string) bool {
	_, ok := slices.BinarySearch(t.names, name)
	return ok
}

type operator uint8

const (
	opEqual operator = iota
	opIn
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opExists // from here on unary
	opEmpty
	opIsString
	opIsList
	opIsStruct
	opIsBool
	opIsInt
	opIsFloat
	opIsNull
)

func (o operator) unary() bool { return o >= opExists }

func (o operator) text(negated bool) string {
	if negated {
		switch o {
		case opEqual:
			return "!="
		default:
			return "not " + o.text(false)
		}
	}
	return [...]string{"==", "in", "<", "<=", ">", ">=", "exists", "empty", "is_string", "is_list", "is_struct", "is_bool", "is_int", "is_float", "is_null"}[o]
}

// clause is one of its kinds.
type clause interface{ at() diag.Place }

type (
	// compareClause is query operator [operand].
	compareClause struct {
		place   diag.Place
		query   query
		op      operator
		negated bool
		with    operand
		message string
	}
	// nameClause asks whether a named rule holds.
	nameClause struct {
		place   diag.Place
		rule    string
		negated bool
		message string
	}
	// callClause evaluates a parameterised rule.
	callClause struct {
		call
		negated bool
		message string
	}
	// queryClause holds a block against each selected value.
	queryClause struct {
		place    diag.Place
		query    query
		notEmpty bool // selecting nothing fails
		block    block
	}
	// whenClause holds a block where conditions hold.
	whenClause struct {
		place diag.Place
		when  [][]clause
		block block
	}
	// typeClause holds a block against each resource of a type.
	typeClause struct {
		place    diag.Place
		typeName string
		when     [][]clause
		block    block
	}
)

func (c *compareClause) at() diag.Place { return c.place }
func (c *nameClause) at() diag.Place    { return c.place }
func (c *callClause) at() diag.Place    { return c.place }
func (c *queryClause) at() diag.Place   { return c.place }
func (c *whenClause) at() diag.Place    { return c.place }
func (c *typeClause) at() diag.Place    { return c.place }
