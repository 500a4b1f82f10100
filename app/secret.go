package app

import "github.com/haechi-dev/haechi/base/seal"

// Reveal is what a configured secret stands for: env:NAME, file:PATH, or itself.
func Reveal(text string, env func(string) string) (seal.Secret, error) { return reveal(text, env) }

// DatabaseURL is the address of the database, with what env: and file: stand for.
func (c *Config) DatabaseURL(env func(string) string) (string, error) { return c.database(env) }
