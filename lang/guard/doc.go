// Package guard holds documents against rules written in CloudFormation Guard.
//
// Rules are compiled once by Parse and checked against as many documents as one
// likes. Statuses are those of the reference implementation (3.1.1), except where
// that is wrong:
//
//   - an integer and a float are compared as numbers;
//   - the condition of a type block is asked of each resource, not of the document;
//   - a range within a list is a range;
//   - a filter over no resources selects nothing, whatever else the document holds;
//   - empty on a number or a truth value cannot be answered: the rule fails and says so;
//     on null it holds;
//   - a filter behind [*] is asked of the value itself where that is a map and no list;
//   - an index behind .%variable chooses among the variable's values;
//   - not before a comparison or a parameterised rule turns it;
//   - queries compared by == or != are compared as sets, in both directions; a negated
//     comparison holds where nothing on the left is on the right, and fails otherwise;
//   - some is one value that holds also where two queries are compared;
//   - a scalar and a list of it alone are equal on either side, written or selected;
//   - what is compared with something that is missing fails, also if it is an empty list;
//   - keywords are words: a property called nullable or informed is a property.
//
// What cannot be decided safely is refused when the rules are parsed: unknown
// variables, rules and functions, rules that ask for themselves, and regular
// expressions that need backtracking.
package guard
