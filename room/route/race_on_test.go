//go:build race

package route_test

// The race detector also checks every pointer of the embedded SQLite, which makes it twenty times slower.
const many = 1000
