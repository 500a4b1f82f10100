// Command program is built by a test, which asks it what it was built of.
package main

import "golang.org/x/mod/semver"

func main() { println(semver.IsValid("v1.0.0")) }
