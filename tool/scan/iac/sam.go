package iac

import (
	"strings"

	"github.com/haechi-dev/haechi/lang/guard"
)

// serverless tells whether the template is SAM's.
func (s *stack) serverless() bool {
	t := s.root.Get("Transform")
	if name, ok := t.Text(); ok {
		return strings.HasPrefix(name, "AWS::Serverless")
	}
	for _, x := range t.Items() {
		if name, ok := x.Text(); ok && strings.HasPrefix(name, "AWS::Serverless") {
			return true
		}
	}
	return false
}

// sam writes out SAM's resources as those that SAM makes of them. What is said in
// Globals counts where the resource does not say it.
func (s *stack) sam(resources *value) *value {
	var all []member
	for name, r := range resources.Members() {
		id, _ := name.Text()
		t, _ := r.Get("Type").Text()
		kind, ok := strings.CutPrefix(t, "AWS::Serverless::")
		if !ok {
			all = append(all, pair(name.Clone(), r.Clone()))
			continue
		}
		m := &samMaker{id: id, name: name, from: r, properties: merged(s.root.Get("Globals").Get(kind), r.Get("Properties"))}
		switch kind {
		case "Function":
			m.function()
		case "SimpleTable":
			m.table()
		case "Api":
			m.api()
		case "HttpApi":
			m.httpAPI()
		case "StateMachine":
			m.stateMachine()
		case "LayerVersion":
			m.add("", "AWS::Lambda::LayerVersion", m.same("LayerName", "Description", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"))
		case "Application":
			all = append(all, pair(name.Clone(), r.Clone()))
		default:
			all = append(all, pair(name.Clone(), r.Clone()))
		}
		all = append(all, m.made...)
	}
	return s.at(guard.NewMap(all...), resources)
}

// merged is b on top of a, maps within maps too; lists are put one after the other, as SAM does.
func merged(a, b *value) *value {
	switch {
	case a == nil && b == nil:
		return guard.NewMap()
	case a == nil:
		return b.Clone()
	case b == nil:
		return a.Clone()
	case a.IsList() && b.IsList():
		return guard.NewList(append(a.Clone().Items(), b.Clone().Items()...)...).As(b)
	case !a.IsMap() || !b.IsMap() || isIntrinsic(a) || isIntrinsic(b):
		return b.Clone()
	}
	var all []member
	for name, x := range a.Members() {
		key, _ := name.Text()
		all = append(all, pair(name.Clone(), merged(x, b.Get(key))))
	}
	for name, x := range b.Members() {
		if key, _ := name.Text(); a.Get(key) == nil {
			all = append(all, pair(name.Clone(), x.Clone()))
		}
	}
	return guard.NewMap(all...).As(b)
}

func isIntrinsic(v *value) bool {
	for name := range v.Members() {
		key, _ := name.Text()
		return v.Len() == 1 && (key == "Ref" || strings.HasPrefix(key, "Fn::"))
	}
	return false
}

// samMaker makes the resources of one of SAM's.
type samMaker struct {
	id         string
	name       *value
	from       *value
	properties *value
	made       []member
}

func (m *samMaker) get(name string) *value { return m.properties.Get(name) }

// put is a member with the value of a property, where there is one.
func (m *samMaker) put(name string, v *value) []member {
	if v == nil {
		return nil
	}
	return []member{named(name, v.Clone())}
}

func (m *samMaker) same(names ...string) (all []member) {
	for _, name := range names {
		all = append(all, m.put(name, m.get(name))...)
	}
	return all
}

// add makes a resource called after SAM's, with its metadata and condition.
func (m *samMaker) add(suffix, kind string, properties []member) {
	body := []member{named("Type", text(kind).As(m.from.Get("Type"))), named("Properties", guard.NewMap(properties...).As(m.properties))}
	for _, name := range []string{"Condition", "Metadata", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy"} {
		body = append(body, m.put(name, m.from.Get(name))...)
	}
	m.made = append(m.made, pair(text(m.id+suffix).As(m.name), guard.NewMap(body...).As(m.from)))
}

// tags are a map in SAM and a list in CloudFormation.
func (m *samMaker) tags() []member {
	tags := m.get("Tags")
	if !tags.IsMap() || isIntrinsic(tags) {
		return m.put("Tags", tags)
	}
	var list []*value
	for name, v := range tags.Members() {
		list = append(list, guard.NewMap(named("Key", name.Clone()), named("Value", v.Clone())).As(name))
	}
	return []member{named("Tags", guard.NewList(list...).As(tags))}
}

func (m *samMaker) ref(id string) *value {
	return guard.NewMap(named("Ref", text(id).As(m.name))).As(m.name)
}

func (m *samMaker) attribute(id, name string) *value {
	return guard.NewMap(named("Fn::GetAtt", guard.NewList(text(id).As(m.name), text(name).As(m.name)).As(m.name))).As(m.name)
}

func (m *samMaker) function() {
	p := m.same("Handler", "Runtime", "Description", "FunctionName", "MemorySize", "Timeout", "Environment", "VpcConfig", "KmsKeyArn", "Layers", "ReservedConcurrentExecutions",
		"Architectures", "PackageType", "EphemeralStorage", "FileSystemConfigs", "LoggingConfig", "SnapStart", "CodeSigningConfigArn", "ImageConfig", "RuntimeManagementConfig")
	p = append(p, m.put("Code", m.get("CodeUri"))...)
	if image := m.get("ImageUri"); image != nil {
		p = append(p, named("Code", guard.NewMap(named("ImageUri", image.Clone())).As(image)))
	}
	if inline := m.get("InlineCode"); inline != nil {
		p = append(p, named("Code", guard.NewMap(named("ZipFile", inline.Clone())).As(inline)))
	}
	if mode := m.get("Tracing"); mode != nil {
		p = append(p, named("TracingConfig", guard.NewMap(named("Mode", mode.Clone())).As(mode)))
	}
	if dead := m.get("DeadLetterQueue"); dead != nil {
		p = append(p, named("DeadLetterConfig", guard.NewMap(m.put("TargetArn", dead.Get("TargetArn"))...).As(dead)))
	}
	role := m.get("Role")
	if role == nil {
		role = m.attribute(m.id+"Role", "Arn")
		m.role("Role", "lambda.amazonaws.com")
	}
	p = append(append(p, named("Role", role.Clone())), m.tags()...)
	m.add("", "AWS::Lambda::Function", p)
	if u := m.get("FunctionUrlConfig"); u != nil {
		url := append([]member{named("TargetFunctionArn", m.ref(m.id))}, m.put("AuthType", u.Get("AuthType"))...)
		m.add("Url", "AWS::Lambda::Url", append(append(url, m.put("Cors", u.Get("Cors"))...), m.put("InvokeMode", u.Get("InvokeMode"))...))
		if auth, _ := u.Get("AuthType").Text(); auth == "NONE" {
			m.add("UrlPublicPermissions", "AWS::Lambda::Permission", []member{named("Action", text("lambda:InvokeFunctionUrl").As(u)), named("FunctionName", m.ref(m.id)),
				named("Principal", text("*").As(u)), named("FunctionUrlAuthType", text("NONE").As(u))})
		}
	}
}

// role is the role that SAM makes where none is named: managed policies by name
// or ARN, and documents.
func (m *samMaker) role(suffix, service string) {
	var managed, inline []*value
	policies := m.get("Policies")
	items := policies.Items()
	if policies != nil && !policies.IsList() {
		items = []*value{policies}
	}
	for _, x := range items {
		name, isText := x.Text()
		switch {
		case isText && strings.HasPrefix(name, "arn:"):
			managed = append(managed, x.Clone())
		case isText:
			managed = append(managed, text("arn:aws:iam::aws:policy/"+name).As(x))
		case x.Get("Statement") != nil:
			inline = append(inline, guard.NewMap(named("PolicyName", text(m.id+"Policy").As(x)), named("PolicyDocument", x.Clone())).As(x))
		case isIntrinsic(x):
			managed = append(managed, x.Clone())
		}
	}
	trust := guard.NewMap(named("Version", text("2012-10-17").As(m.name)), named("Statement", guard.NewList(guard.NewMap(
		named("Effect", text("Allow").As(m.name)), named("Action", guard.NewList(text("sts:AssumeRole").As(m.name)).As(m.name)),
		named("Principal", guard.NewMap(named("Service", guard.NewList(text(service).As(m.name)).As(m.name))).As(m.name))).As(m.name)).As(m.name))).As(m.name)
	p := []member{named("AssumeRolePolicyDocument", trust)}
	at := policies
	if at == nil {
		at = m.name
	}
	if len(managed) > 0 {
		p = append(p, named("ManagedPolicyArns", guard.NewList(managed...).As(at)))
	}
	if len(inline) > 0 {
		p = append(p, named("Policies", guard.NewList(inline...).As(at)))
	}
	p = append(p, m.put("PermissionsBoundary", m.get("PermissionsBoundary"))...)
	m.add(suffix, "AWS::IAM::Role", p)
}

func (m *samMaker) table() {
	key := m.get("PrimaryKey")
	attribute, kind := key.Get("Name"), "S"
	if attribute == nil {
		attribute = text("id").As(m.name)
	}
	if t, _ := key.Get("Type").Text(); t == "Number" {
		kind = "N"
	} else if t == "Binary" {
		kind = "B"
	}
	p := append(m.same("TableName", "SSESpecification", "ProvisionedThroughput", "PointInTimeRecoverySpecification"), m.tags()...)
	p = append(p, named("AttributeDefinitions", guard.NewList(guard.NewMap(named("AttributeName", attribute.Clone()), named("AttributeType", text(kind).As(attribute))).As(attribute)).As(attribute)),
		named("KeySchema", guard.NewList(guard.NewMap(named("AttributeName", attribute.Clone()), named("KeyType", text("HASH").As(attribute))).As(attribute)).As(attribute)))
	if m.get("ProvisionedThroughput") == nil {
		p = append(p, named("BillingMode", text("PAY_PER_REQUEST").As(m.name)))
	}
	m.add("", "AWS::DynamoDB::Table", p)
}

func (m *samMaker) api() {
	p := m.same("Name", "Description", "BinaryMediaTypes", "MinimumCompressionSize", "DisableExecuteApiEndpoint", "Mode", "FailOnWarnings", "ApiKeySourceType")
	p = append(append(p, m.put("Body", m.get("DefinitionBody"))...), m.put("BodyS3Location", m.get("DefinitionUri"))...)
	if e := m.get("EndpointConfiguration"); e.IsMap() {
		types := m.put("VpcEndpointIds", e.Get("VPCEndpointIds"))
		if t := e.Get("Type"); t != nil {
			types = append(types, named("Types", guard.NewList(t.Clone()).As(t)))
		}
		p = append(p, named("EndpointConfiguration", guard.NewMap(types...).As(e)))
	} else if e != nil {
		p = append(p, named("EndpointConfiguration", guard.NewMap(named("Types", guard.NewList(e.Clone()).As(e))).As(e)))
	}
	m.add("", "AWS::ApiGateway::RestApi", append(p, m.tags()...))
	stage := append(m.same("StageName", "MethodSettings", "AccessLogSetting", "CacheClusterEnabled", "CacheClusterSize", "TracingEnabled", "Variables", "CanarySetting"), named("RestApiId", m.ref(m.id)))
	m.add("Stage", "AWS::ApiGateway::Stage", append(stage, m.tags()...))
}

func (m *samMaker) httpAPI() {
	p := append(m.same("Name", "Description", "CorsConfiguration", "DisableExecuteApiEndpoint", "FailOnWarnings"), m.put("Body", m.get("DefinitionBody"))...)
	m.add("", "AWS::ApiGatewayV2::Api", append(p, m.put("Tags", m.get("Tags"))...))
	name := m.get("StageName")
	if name == nil {
		name = text("$default").As(m.name)
	}
	stage := append(m.put("AccessLogSettings", m.get("AccessLogSettings")), named("StageName", name.Clone()), named("ApiId", m.ref(m.id)))
	stage = append(append(stage, m.put("DefaultRouteSettings", m.get("DefaultRouteSettings"))...), m.put("RouteSettings", m.get("RouteSettings"))...)
	m.add("Stage", "AWS::ApiGatewayV2::Stage", append(stage, m.put("StageVariables", m.get("StageVariables"))...))
}

func (m *samMaker) stateMachine() {
	p := append(m.same("StateMachineType", "DefinitionSubstitutions"), m.put("StateMachineName", m.get("Name"))...)
	p = append(append(p, m.put("DefinitionString", m.get("Definition"))...), m.put("DefinitionS3Location", m.get("DefinitionUri"))...)
	p = append(append(p, m.put("LoggingConfiguration", m.get("Logging"))...), m.put("TracingConfiguration", m.get("Tracing"))...)
	role := m.get("Role")
	if role == nil {
		role = m.attribute(m.id+"Role", "Arn")
		m.role("Role", "states.amazonaws.com")
	}
	m.add("", "AWS::StepFunctions::StateMachine", append(append(p, named("RoleArn", role.Clone())), m.tags()...))
}
