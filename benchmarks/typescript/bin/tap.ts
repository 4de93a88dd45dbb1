import * as cdk from 'aws-cdk-lib';
import { TapStack } from '../lib/tap-stack';

new TapStack(new cdk.App(), 'TapStack');
