package buildspec

import (
	"maps"
	"slices"
	"strings"
)

func (c *checker) environment(s *Spec, f file) {
	e := f.Env
	s.Variables, s.Parameters, s.Exported = e.Variables, e.Parameters, e.Exported
	in := []string{"env", "variables"}
	if f.Old != nil {
		if s.Version != "0.1" {
			c.fail(c.key("environment_variables"), "write env, and variables below it", "environment_variables is of version 0.1")
		}
		s.Variables, in = f.Old.Plaintext, []string{"environment_variables", "plaintext"}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Variables)) {
		c.variable(name, slices.Concat(in, []string{name})...)
		if strings.ContainsRune(s.Variables[name], 0) {
			c.fail(c.key(slices.Concat(in, []string{name})...), "", "variable %s holds a zero byte", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Parameters)) {
		c.variable(name, "env", "parameter-store", name)
		if e.Parameters[name] == "" {
			c.fail(c.key("env", "parameter-store", name), "write the parameter's name", "%s names no parameter", name)
		}
		c.once(name, "parameter-store", s.Variables)
	}
	s.Secrets = map[string]Secret{}
	for _, name := range slices.Sorted(maps.Keys(e.Secrets)) {
		c.variable(name, "env", "secrets-manager", name)
		s.Secrets[name] = c.secret(e.Secrets[name], "env", "secrets-manager", name)
		c.once(name, "secrets-manager", s.Variables)
		c.once(name, "secrets-manager", s.Parameters)
	}
	for _, name := range s.Exported {
		_, secret := s.Secrets[name]
		_, parameter := s.Parameters[name]
		at := c.at("env", "exported-variables")
		switch {
		case !variableName().MatchString(name):
			c.fail(at, "letters, digits and _, no digit first", "%q cannot be a variable", name)
		case strings.HasPrefix(name, "AWS_"):
			c.fail(at, "give its value to a variable of another name", "%s cannot be exported: variables that start with AWS_ stay in the build", name)
		case secret || parameter:
			c.fail(at, "leave it out", "%s cannot be exported: it is a secret", name)
		}
	}
	slices.Sort(s.Exported)
	s.Exported = slices.Compact(s.Exported)
}

func (c *checker) variable(name string, where ...string) {
	switch {
	case !variableName().MatchString(name):
		c.fail(c.key(where...), "letters, digits and _, no digit first", "%q cannot be a variable", name)
	case strings.HasPrefix(name, "CODEBUILD_"):
		c.fail(c.key(where...), "choose another name", "variables that start with CODEBUILD_ are set by the build")
	}
}

func (c *checker) once(name, where string, others map[string]string) {
	if _, ok := others[name]; ok {
		c.fail(c.key("env", where, name), "name each variable in one place", "variable %s is said twice", name)
	}
}

const secretForm = "write secret-id:json-key:version-stage:version-id; all but the first may be left out"

// secret reads a reference. An ARN has colons of its own: six before the name.
func (c *checker) secret(text string, where ...string) (s Secret) {
	rest := text
	if strings.HasPrefix(text, "arn:") {
		parts := strings.SplitN(text, ":", 8)
		if len(parts) < 7 || parts[2] != "secretsmanager" || parts[5] != "secret" || parts[6] == "" {
			c.fail(c.at(where...), "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME", "%q is no ARN of a secret", text)
			return s
		}
		s.ID = strings.Join(parts[:7], ":")
		rest = strings.TrimPrefix(text[len(s.ID):], ":")
	} else {
		s.ID, rest, _ = strings.Cut(text, ":")
	}
	parts := strings.Split(rest, ":")
	if len(parts) > 3 {
		c.fail(c.at(where...), secretForm, "%q has too many parts", text)
		return s
	}
	for i, to := range []*string{&s.Key, &s.Stage, &s.Version} {
		if i < len(parts) {
			*to = parts[i]
		}
	}
	switch {
	case s.ID == "" || strings.ContainsAny(s.ID, " \t\n") || len(text) > 2048:
		c.fail(c.at(where...), secretForm, "%q names no secret", text)
	case s.Stage != "" && s.Version != "":
		c.fail(c.at(where...), "leave one of them out", "%q says a stage and a version: either is enough", text)
	case s.Stage == "" && s.Version == "":
		s.Stage = "AWSCURRENT"
	}
	return s
}
