package buildspec

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

// The file, as it is written.
type file struct {
	Version   string
	RunAs     string `yaml:"run-as"`
	Env       fileEnv
	Old       *fileOld `yaml:"environment_variables"` // version 0.1
	Proxy     fileProxy
	Batch     *fileBatch
	Phases    map[string]filePhase
	Reports   map[string]fileReports
	Artifacts *fileArtifacts
	Cache     *fileCache
}

type fileOld struct{ Plaintext map[string]string }

type fileEnv struct {
	Shell      string
	Variables  map[string]string
	Parameters map[string]string `yaml:"parameter-store"`
	Secrets    map[string]string `yaml:"secrets-manager"`
	Exported   []string          `yaml:"exported-variables"`
	Helper     yesNo             `yaml:"git-credential-helper"`
}

type fileProxy struct {
	Artifacts yesNo `yaml:"upload-artifacts"`
	Logs      yesNo
}

type filePhase struct {
	RunAs     string            `yaml:"run-as"`
	OnFailure string            `yaml:"on-failure"`
	Runtimes  map[string]string `yaml:"runtime-versions"`
	Commands  []string
	Finally   []string
}

type fileReports struct {
	Files   []string
	Folder  string `yaml:"base-directory"`
	Format  string `yaml:"file-format"`
	Discard yesNo  `yaml:"discard-paths"`
}

type fileArtifact struct {
	Type     string // version 0.1
	Files    []string
	Name     string
	Discard  yesNo    `yaml:"discard-paths"`
	Folder   string   `yaml:"base-directory"`
	Exclude  []string `yaml:"exclude-paths"`
	Symlinks yesNo    `yaml:"enable-symlinks"`
	Prefix   string   `yaml:"s3-prefix"`
}

// fileArtifacts is a fileArtifact, and more of them: strict knows no embedding.
type fileArtifacts struct {
	Type      string
	Files     []string
	Name      string
	Discard   yesNo                   `yaml:"discard-paths"`
	Folder    string                  `yaml:"base-directory"`
	Exclude   []string                `yaml:"exclude-paths"`
	Symlinks  yesNo                   `yaml:"enable-symlinks"`
	Prefix    string                  `yaml:"s3-prefix"`
	Secondary map[string]fileArtifact `yaml:"secondary-artifacts"`
}

func (f *fileArtifacts) main() fileArtifact {
	return fileArtifact{Type: f.Type, Files: f.Files, Name: f.Name, Discard: f.Discard, Folder: f.Folder, Exclude: f.Exclude, Symlinks: f.Symlinks, Prefix: f.Prefix}
}

type fileCache struct {
	Paths     []string
	Key       string
	Fallbacks []string `yaml:"fallback-keys"`
	Action    string
}

type fileBatch struct {
	FastFail yesNo       `yaml:"fast-fail"`
	Graph    []fileBuild `yaml:"build-graph"`
	List     []fileBuild `yaml:"build-list"`
	Matrix   *fileMatrix `yaml:"build-matrix"`
	Fanout   *fileFanout `yaml:"build-fanout"`
}

type fileBuild struct {
	Identifier string
	Buildspec  string
	Env        fileBuildEnv
	Debug      yesNo    `yaml:"debug-session"`
	DependOn   []string `yaml:"depend-on"`
	Ignore     yesNo    `yaml:"ignore-failure"`
}

type fileBuildEnv struct {
	Compute    string `yaml:"compute-type"`
	Fleet      string
	Image      string
	Privileged yesNo `yaml:"privileged-mode"`
	Type       string
	Variables  map[string]string
}

type fileMatrix struct {
	Static struct {
		Ignore yesNo `yaml:"ignore-failure"`
		Env    struct {
			Privileged yesNo `yaml:"privileged-mode"`
			Type       string
		}
	}
	Dynamic struct {
		Buildspec []string
		Env       struct {
			Compute   []string `yaml:"compute-type"`
			Image     []string
			Variables map[string][]string
		}
	}
}

type fileFanout struct {
	Parallelism int
	Ignore      yesNo `yaml:"ignore-failure"`
}

// yesNo is a truth as buildspecs have it.
type yesNo bool

// UnmarshalText reads yes and no, and true and false.
func (y *yesNo) UnmarshalText(text []byte) error {
	switch string(text) {
	case "yes", "true", "on", "Yes", "True", "YES", "TRUE":
		*y = true
	case "no", "false", "off", "No", "False", "NO", "FALSE", "":
		*y = false
	default:
		return fmt.Errorf("yes or no is wanted here")
	}
	return nil
}

// at is the node that a path of keys leads to: the value, or as far as there is one.
func at(n *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		for n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		next := (*yaml.Node)(nil)
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				next = n.Content[i+1]
				if next.Kind != yaml.ScalarNode || next.Value == "" {
					next = n.Content[i] // a word rather than where its list begins
					next = &yaml.Node{Kind: n.Content[i+1].Kind, Content: n.Content[i+1].Content, Alias: n.Content[i+1].Alias, Value: n.Content[i+1].Value, Line: next.Line, Column: next.Column}
				}
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}
