package advisory

import "strings"

// EcosystemOf is OSV's name for the packages that a type of package URLs names, "" where OSV has none.
func EcosystemOf(purlType string) string {
	switch purlType {
	case "npm":
		return "npm"
	case "golang":
		return "Go"
	case "pypi":
		return "PyPI"
	case "maven":
		return "Maven"
	case "gem":
		return "RubyGems"
	case "cargo":
		return "crates.io"
	case "composer":
		return "Packagist"
	case "nuget":
		return "NuGet"
	case "deb":
		return "Debian"
	case "apk":
		return "Alpine"
	case "rpm":
		return "Red Hat"
	case "hex":
		return "Hex"
	case "pub":
		return "Pub"
	case "swift":
		return "SwiftURL"
	case "hackage":
		return "Hackage"
	case "cran":
		return "CRAN"
	case "conan":
		return "ConanCenter"
	case "githubactions":
		return "GitHub Actions"
	case "bitnami":
		return "Bitnami"
	case "cocoapods":
		return "CocoaPods"
	case "docker", "oci":
		return "OCI"
	}
	return ""
}

// Distribution is OSV's name for the packages of a system, by the ID and
// VERSION_ID of its os-release; "" where OSV has none.
func Distribution(id, version string) string {
	parts := strings.SplitN(version, ".", 3)
	of := func(name, release string) string {
		if release == "" {
			return name
		}
		return name + ":" + release
	}
	switch id {
	case "debian":
		return of("Debian", parts[0])
	case "ubuntu":
		if year, month, ok := strings.Cut(version, "."); ok && month == "04" && len(year) == 2 && (year[1]-'0')%2 == 0 {
			return "Ubuntu:" + version + ":LTS"
		}
		return of("Ubuntu", version)
	case "alpine":
		if len(parts) < 2 {
			return "Alpine"
		}
		return "Alpine:v" + parts[0] + "." + parts[1]
	case "wolfi":
		return "Wolfi"
	case "chainguard":
		return "Chainguard"
	case "almalinux":
		return of("AlmaLinux", parts[0])
	case "rocky":
		return of("Rocky Linux", parts[0])
	case "rhel", "centos", "redhat":
		return of("Red Hat", parts[0])
	case "opensuse-leap":
		return "openSUSE:Leap " + version
	case "opensuse-tumbleweed", "opensuse":
		return "openSUSE:Tumbleweed"
	case "sles", "suse":
		if len(parts) > 1 {
			return "SUSE:Linux Enterprise Server " + parts[0] + " SP" + parts[1]
		}
		return of("SUSE", version)
	case "mageia":
		return of("Mageia", parts[0])
	}
	return ""
}
