-- told when another version becomes live
LISTEN lambda_kappa;
