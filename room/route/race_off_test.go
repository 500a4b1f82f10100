//go:build !race

package route_test

// many is how many findings make a storm.
const many = 10000
