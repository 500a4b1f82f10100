package account

// A category is how a path of escalation works.
type category string

const (
	selfEscalation   category = "self-escalation"   // changes the rights of who takes it
	principalAccess  category = "principal-access"  // takes another principal over
	newPassRole      category = "new-passrole"      // starts something with a stronger role
	existingPassRole category = "existing-passrole" // takes over what runs with a stronger role
)

// A target is what one permission of a path has to be for.
type target int

const (
	anything      target = iota // whatever resource
	ownPolicy                   // a policy of the account that is attached to oneself
	ownRole                     // oneself, a role
	ownUser                     // oneself, a user
	ownGroup                    // a group that one is in
	strongerGroup               // a group that one is not in
	otherUser
	otherRole
	itsPolicy // a policy of the account that is attached to the other role
	passed    // the role that is passed
)

type need struct {
	action string
	on     target
}

// A path is one known way to more rights: what it needs, and for those that
// pass a role to a service, which service must be trusted by it. The list is
// that of pathfinding.cloud, by its identifiers.
type path struct {
	id       string
	category category
	service  string
	needs    []need
	how      string
}

// paths are all known ways, by category.
func paths() []path {
	return []path{
		{"iam-001", selfEscalation, "", []need{{"iam:CreatePolicyVersion", ownPolicy}}, "write a new version of a policy that is attached to oneself"},
		{"iam-005", selfEscalation, "", []need{{"iam:PutRolePolicy", ownRole}}, "write an inline policy into one’s own role"},
		{"iam-007", selfEscalation, "", []need{{"iam:PutUserPolicy", ownUser}}, "write an inline policy for oneself"},
		{"iam-008", selfEscalation, "", []need{{"iam:AttachUserPolicy", ownUser}}, "attach a managed policy to oneself"},
		{"iam-009", selfEscalation, "", []need{{"iam:AttachRolePolicy", ownRole}}, "attach a managed policy to one’s own role"},
		{"iam-010", selfEscalation, "", []need{{"iam:AttachGroupPolicy", ownGroup}}, "attach a managed policy to one’s own group"},
		{"iam-011", selfEscalation, "", []need{{"iam:PutGroupPolicy", ownGroup}}, "write an inline policy for one’s own group"},
		{"iam-013", selfEscalation, "", []need{{"iam:AddUserToGroup", strongerGroup}}, "join a stronger group"},
		{"iam-002", principalAccess, "", []need{{"iam:CreateAccessKey", otherUser}}, "make an access key for the user"},
		{"iam-003", principalAccess, "", []need{{"iam:CreateAccessKey", otherUser}, {"iam:DeleteAccessKey", otherUser}}, "replace an access key of the user"},
		{"iam-004", principalAccess, "", []need{{"iam:CreateLoginProfile", otherUser}}, "give the user a console password"},
		{"iam-006", principalAccess, "", []need{{"iam:UpdateLoginProfile", otherUser}}, "change the user’s console password"},
		{"iam-012", principalAccess, "", []need{{"iam:UpdateAssumeRolePolicy", otherRole}}, "let oneself into the role’s trust policy"},
		{"iam-014", principalAccess, "", []need{{"iam:AttachRolePolicy", otherRole}, {"sts:AssumeRole", otherRole}}, "attach a policy to a role that one can assume"},
		{"iam-015", principalAccess, "", []need{{"iam:AttachUserPolicy", otherUser}, {"iam:CreateAccessKey", otherUser}}, "attach a policy to a user and take an access key"},
		{"iam-016", principalAccess, "", []need{{"iam:CreatePolicyVersion", itsPolicy}, {"sts:AssumeRole", otherRole}}, "write a new version of a policy of a role that one can assume"},
		{"iam-017", principalAccess, "", []need{{"iam:PutRolePolicy", otherRole}, {"sts:AssumeRole", otherRole}}, "write an inline policy into a role that one can assume"},
		{"iam-018", principalAccess, "", []need{{"iam:PutUserPolicy", otherUser}, {"iam:CreateAccessKey", otherUser}}, "write an inline policy for a user and take an access key"},
		{"iam-019", principalAccess, "", []need{{"iam:AttachRolePolicy", otherRole}, {"iam:UpdateAssumeRolePolicy", otherRole}}, "attach a policy to a role and let oneself into its trust policy"},
		{"iam-020", principalAccess, "", []need{{"iam:CreatePolicyVersion", itsPolicy}, {"iam:UpdateAssumeRolePolicy", otherRole}}, "write a new version of a role’s policy and let oneself into its trust policy"},
		{"iam-021", principalAccess, "", []need{{"iam:PutRolePolicy", otherRole}, {"iam:UpdateAssumeRolePolicy", otherRole}}, "write an inline policy into a role and let oneself into its trust policy"},
		{"sts-001", principalAccess, "", []need{{"sts:AssumeRole", otherRole}}, "assume the role"},
		{"apprunner-001", newPassRole, "tasks.apprunner.amazonaws.com", []need{{"iam:PassRole", passed}, {"apprunner:CreateService", anything}}, "start something that runs as the role: CreateService"},
		{"bedrock-001", newPassRole, "bedrock-agentcore.amazonaws.com", []need{{"iam:PassRole", passed}, {"bedrock-agentcore:CreateCodeInterpreter", anything}, {"bedrock-agentcore:StartCodeInterpreterSession", anything}, {"bedrock-agentcore:InvokeCodeInterpreter", anything}}, "start something that runs as the role: CreateCodeInterpreter, StartCodeInterpreterSession, InvokeCodeInterpreter"},
		{"cloudformation-001", newPassRole, "cloudformation.amazonaws.com", []need{{"iam:PassRole", passed}, {"cloudformation:CreateStack", anything}}, "start something that runs as the role: CreateStack"},
		{"cloudformation-003", newPassRole, "cloudformation.amazonaws.com", []need{{"iam:PassRole", passed}, {"cloudformation:CreateStackSet", anything}, {"cloudformation:CreateStackInstances", anything}}, "start something that runs as the role: CreateStackSet, CreateStackInstances"},
		{"cloudformation-004", newPassRole, "cloudformation.amazonaws.com", []need{{"iam:PassRole", passed}, {"cloudformation:UpdateStackSet", anything}}, "start something that runs as the role: UpdateStackSet"},
		{"cloudformation-005", newPassRole, "cloudformation.amazonaws.com", []need{{"cloudformation:CreateChangeSet", anything}, {"cloudformation:ExecuteChangeSet", anything}}, "take over something that runs as the role: CreateChangeSet, ExecuteChangeSet"},
		{"codebuild-001", newPassRole, "codebuild.amazonaws.com", []need{{"iam:PassRole", passed}, {"codebuild:CreateProject", anything}, {"codebuild:StartBuild", anything}}, "start something that runs as the role: CreateProject, StartBuild"},
		{"codebuild-004", newPassRole, "codebuild.amazonaws.com", []need{{"iam:PassRole", passed}, {"codebuild:CreateProject", anything}, {"codebuild:StartBuildBatch", anything}}, "start something that runs as the role: CreateProject, StartBuildBatch"},
		{"datapipeline-001", newPassRole, "datapipeline.amazonaws.com", []need{{"iam:PassRole", passed}, {"datapipeline:CreatePipeline", anything}, {"datapipeline:PutPipelineDefinition", anything}, {"datapipeline:ActivatePipeline", anything}}, "start something that runs as the role: CreatePipeline, PutPipelineDefinition, ActivatePipeline"},
		{"ec2-001", newPassRole, "ec2.amazonaws.com", []need{{"iam:PassRole", passed}, {"ec2:RunInstances", anything}}, "start something that runs as the role: RunInstances"},
		{"ec2-003", newPassRole, "ec2.amazonaws.com", []need{{"iam:PassRole", passed}, {"ec2:RequestSpotInstances", anything}}, "start something that runs as the role: RequestSpotInstances"},
		{"ecs-001", newPassRole, "ecs-tasks.amazonaws.com", []need{{"iam:PassRole", passed}, {"ecs:CreateCluster", anything}, {"ecs:RegisterTaskDefinition", anything}, {"ecs:CreateService", anything}}, "start something that runs as the role: CreateCluster, RegisterTaskDefinition, CreateService"},
		{"ecs-002", newPassRole, "ecs-tasks.amazonaws.com", []need{{"iam:PassRole", passed}, {"ecs:CreateCluster", anything}, {"ecs:RegisterTaskDefinition", anything}, {"ecs:RunTask", anything}}, "start something that runs as the role: CreateCluster, RegisterTaskDefinition, RunTask"},
		{"ecs-003", newPassRole, "ecs-tasks.amazonaws.com", []need{{"iam:PassRole", passed}, {"ecs:RegisterTaskDefinition", anything}, {"ecs:CreateService", anything}}, "start something that runs as the role: RegisterTaskDefinition, CreateService"},
		{"ecs-004", newPassRole, "ecs-tasks.amazonaws.com", []need{{"iam:PassRole", passed}, {"ecs:RegisterTaskDefinition", anything}, {"ecs:RunTask", anything}}, "start something that runs as the role: RegisterTaskDefinition, RunTask"},
		{"ecs-005", newPassRole, "ecs-tasks.amazonaws.com", []need{{"iam:PassRole", passed}, {"ecs:RegisterTaskDefinition", anything}, {"ecs:StartTask", anything}}, "start something that runs as the role: RegisterTaskDefinition, StartTask"},
		{"glue-001", newPassRole, "glue.amazonaws.com", []need{{"iam:PassRole", passed}, {"glue:CreateDevEndpoint", anything}}, "start something that runs as the role: CreateDevEndpoint"},
		{"glue-003", newPassRole, "glue.amazonaws.com", []need{{"iam:PassRole", passed}, {"glue:CreateJob", anything}, {"glue:StartJobRun", anything}}, "start something that runs as the role: CreateJob, StartJobRun"},
		{"glue-004", newPassRole, "glue.amazonaws.com", []need{{"iam:PassRole", passed}, {"glue:CreateJob", anything}, {"glue:CreateTrigger", anything}}, "start something that runs as the role: CreateJob, CreateTrigger"},
		{"glue-005", newPassRole, "glue.amazonaws.com", []need{{"iam:PassRole", passed}, {"glue:UpdateJob", anything}, {"glue:StartJobRun", anything}}, "start something that runs as the role: UpdateJob, StartJobRun"},
		{"glue-006", newPassRole, "glue.amazonaws.com", []need{{"iam:PassRole", passed}, {"glue:UpdateJob", anything}, {"glue:CreateTrigger", anything}}, "start something that runs as the role: UpdateJob, CreateTrigger"},
		{"lambda-001", newPassRole, "lambda.amazonaws.com", []need{{"iam:PassRole", passed}, {"lambda:CreateFunction", anything}, {"lambda:InvokeFunction", anything}}, "start something that runs as the role: CreateFunction, InvokeFunction"},
		{"lambda-002", newPassRole, "lambda.amazonaws.com", []need{{"iam:PassRole", passed}, {"lambda:CreateFunction", anything}, {"lambda:CreateEventSourceMapping", anything}}, "start something that runs as the role: CreateFunction, CreateEventSourceMapping"},
		{"lambda-006", newPassRole, "lambda.amazonaws.com", []need{{"iam:PassRole", passed}, {"lambda:CreateFunction", anything}, {"lambda:AddPermission", anything}}, "start something that runs as the role: CreateFunction, AddPermission"},
		{"sagemaker-001", newPassRole, "sagemaker.amazonaws.com", []need{{"iam:PassRole", passed}, {"sagemaker:CreateNotebookInstance", anything}}, "start something that runs as the role: CreateNotebookInstance"},
		{"sagemaker-002", newPassRole, "sagemaker.amazonaws.com", []need{{"iam:PassRole", passed}, {"sagemaker:CreateTrainingJob", anything}}, "start something that runs as the role: CreateTrainingJob"},
		{"sagemaker-003", newPassRole, "sagemaker.amazonaws.com", []need{{"iam:PassRole", passed}, {"sagemaker:CreateProcessingJob", anything}}, "start something that runs as the role: CreateProcessingJob"},
		{"apprunner-002", existingPassRole, "tasks.apprunner.amazonaws.com", []need{{"apprunner:UpdateService", anything}}, "take over something that runs as the role: UpdateService"},
		{"bedrock-002", existingPassRole, "bedrock-agentcore.amazonaws.com", []need{{"bedrock-agentcore:StartCodeInterpreterSession", anything}, {"bedrock-agentcore:InvokeCodeInterpreter", anything}}, "take over something that runs as the role: StartCodeInterpreterSession, InvokeCodeInterpreter"},
		{"cloudformation-002", existingPassRole, "cloudformation.amazonaws.com", []need{{"cloudformation:UpdateStack", anything}}, "take over something that runs as the role: UpdateStack"},
		{"codebuild-002", existingPassRole, "codebuild.amazonaws.com", []need{{"codebuild:StartBuild", anything}}, "take over something that runs as the role: StartBuild"},
		{"codebuild-003", existingPassRole, "codebuild.amazonaws.com", []need{{"codebuild:StartBuildBatch", anything}}, "take over something that runs as the role: StartBuildBatch"},
		{"ec2-002", existingPassRole, "ec2.amazonaws.com", []need{{"ec2:ModifyInstanceAttribute", anything}, {"ec2:StopInstances", anything}, {"ec2:StartInstances", anything}}, "take over something that runs as the role: ModifyInstanceAttribute, StopInstances, StartInstances"},
		{"ec2-004", existingPassRole, "ec2.amazonaws.com", []need{{"ec2:CreateLaunchTemplateVersion", anything}, {"ec2:ModifyLaunchTemplate", anything}}, "take over something that runs as the role: CreateLaunchTemplateVersion, ModifyLaunchTemplate"},
		{"ec2instanceconnect-003", existingPassRole, "ec2.amazonaws.com", []need{{"ec2-instance-connect:SendSSHPublicKey", anything}, {"ec2:DescribeInstances", anything}}, "take over something that runs as the role: SendSSHPublicKey, DescribeInstances"},
		{"glue-002", existingPassRole, "glue.amazonaws.com", []need{{"glue:UpdateDevEndpoint", anything}}, "take over something that runs as the role: UpdateDevEndpoint"},
		{"lambda-003", existingPassRole, "lambda.amazonaws.com", []need{{"lambda:UpdateFunctionCode", anything}}, "take over something that runs as the role: UpdateFunctionCode"},
		{"lambda-004", existingPassRole, "lambda.amazonaws.com", []need{{"lambda:UpdateFunctionCode", anything}, {"lambda:InvokeFunction", anything}}, "take over something that runs as the role: UpdateFunctionCode, InvokeFunction"},
		{"lambda-005", existingPassRole, "lambda.amazonaws.com", []need{{"lambda:UpdateFunctionCode", anything}, {"lambda:AddPermission", anything}}, "take over something that runs as the role: UpdateFunctionCode, AddPermission"},
		{"sagemaker-004", existingPassRole, "sagemaker.amazonaws.com", []need{{"sagemaker:CreatePresignedNotebookInstanceUrl", anything}}, "take over something that runs as the role: CreatePresignedNotebookInstanceUrl"},
		{"sagemaker-005", existingPassRole, "sagemaker.amazonaws.com", []need{{"sagemaker:CreateNotebookInstanceLifecycleConfig", anything}, {"sagemaker:StopNotebookInstance", anything}, {"sagemaker:UpdateNotebookInstance", anything}, {"sagemaker:StartNotebookInstance", anything}}, "take over something that runs as the role: CreateNotebookInstanceLifecycleConfig, StopNotebookInstance, UpdateNotebookInstance, StartNotebookInstance"},
		{"ssm-001", existingPassRole, "ec2.amazonaws.com", []need{{"ssm:StartSession", anything}}, "take over something that runs as the role: StartSession"},
		{"ssm-002", existingPassRole, "ec2.amazonaws.com", []need{{"ssm:SendCommand", anything}}, "take over something that runs as the role: SendCommand"},
	}
}
